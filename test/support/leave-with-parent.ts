/** Preloaded into spawned nodes: when the test's process dies, however it dies, its nodes die too. */
process.stdin.on('end', () => process.exit(86)).resume();
process.stdin.unref();
