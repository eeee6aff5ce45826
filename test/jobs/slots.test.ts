/** How many at once, and who is next. */
import { expect, it } from 'vitest';
import { createSlots } from '../../src/jobs/slots.ts';

/** Lets everything that is ready go on. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

function setup(count: number) {
  const slots = createSlots(count);
  const gives: (() => void)[] = [];
  const inside: string[] = [];
  const enter = (name: string) =>
    slots.take().then((give) => {
      inside.push(name);
      gives.push(give);
    });
  return { slots, enter, inside, give: () => gives.shift()?.() };
}

it('as many get in at once as there are slots, the others wait', async () => {
  const { enter, inside } = setup(2);
  for (const name of ['a', 'b', 'c', 'd']) void enter(name);
  await settle();
  expect(inside).toEqual(['a', 'b']);
});

it('who waited longest gets the slot that is given back', async () => {
  const { enter, inside, give } = setup(1);
  for (const name of ['a', 'b', 'c']) void enter(name);
  await settle();
  give();
  await settle();
  expect(inside).toEqual(['a', 'b']);
  // Nobody who comes now overtakes c.
  void enter('d');
  give();
  await settle();
  expect(inside).toEqual(['a', 'b', 'c']);
});

it('a slot that nobody waited for is free for the next who comes', async () => {
  const { enter, inside, give } = setup(1);
  for (const name of ['a', 'b', 'c', 'd', 'e']) {
    await enter(name);
    give();
  }
  expect(inside).toEqual(['a', 'b', 'c', 'd', 'e']);
});

it('never lets more in than there are slots, however many come and go', async () => {
  const slots = createSlots(3);
  let inside = 0;
  let most = 0;
  const visit = async (stays: number) => {
    const give = await slots.take();
    inside += 1;
    most = Math.max(most, inside);
    for (let turn = 0; turn < stays; turn += 1) await settle();
    inside -= 1;
    give();
  };
  await Promise.all(Array.from({ length: 100 }, (_, index) => visit(index % 4)));
  expect(inside).toBe(0);
  expect(most).toBe(3);
});

it('tells a place in the line and how it comes nearer', async () => {
  const { slots, enter, give } = setup(2);
  for (const name of ['a', 'b', 'c', 'd']) void enter(name);
  expect([slots.taken, slots.waiting]).toEqual([2, 2]);
  await settle();
  give();
  expect([slots.taken, slots.waiting]).toEqual([3, 1]);
  await settle();
  for (let slot = 0; slot < 3; slot += 1) {
    give();
    await settle();
  }
  expect([slots.taken, slots.waiting]).toEqual([4, 0]);
});
