/** The locks of a manager's server, with clients that end at moments which no real client can be made to hit. */
import { servingFor, type Caller, type Held, type Waiting } from '../../dist/manager/caller';
import { ConditionReferent } from '../../dist/manager/referents/condition';

let calls = 0;

class Client {
  isOpen = true;
  readonly waiting = new Map<number, Waiting>();
  readonly held = new Set<Held>();

  constructor(readonly id: string) {}

  calls<T>(work: () => T): T {
    const caller: Caller = { session: this, call: ++calls };
    return servingFor(caller, work);
  }

  /** As ServedClient has it. */
  end(): void {
    this.isOpen = false;
    for (const waiting of [...this.waiting.values()]) waiting.cancel(undefined);
    for (const held of [...this.held]) held.abandonedBy(this);
  }
}

test('a client that ends as soon as the lock of its Condition was passed to it leaves the lock to others', async () => {
  const condition = new ConditionReferent();
  const [waiter, notifier, next] = [new Client('waiter'), new Client('notifier'), new Client('next')];
  expect(waiter.calls(() => condition.acquire(-1))).toBe(1);
  const waiting = waiter.calls(() => condition.wait(-1));
  expect(notifier.calls(() => condition.acquire(-1))).toBe(1);
  notifier.calls(() => condition.notify());
  await new Promise(setImmediate); // notified, it waits for the lock
  notifier.end();
  expect(condition.locked()).toBe(true);
  waiter.end(); // before its call went on
  await waiting;
  expect(condition.locked()).toBe(false);
  expect(await next.calls(() => condition.acquire(0))).not.toBe(0);
});
