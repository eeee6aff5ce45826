// Runs before `npm start` on whatever Node there is, so it is written for an old one.
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 22 || (major === 22 && minor < 18)) {
  console.error(
    `Carillon needs Node 22.18 or newer, and this is ${process.versions.node}.\n` +
      'The right one comes with `npm ci`, but not with --omit=dev or NODE_ENV=production: install without them.',
  );
  process.exit(1);
}
