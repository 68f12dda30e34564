/** Memory for long buffers that are received: taken from what collected ones have left (native/buffer_cache.cc). */
import { native } from '../native';
import { registerAtFork } from '../posix/at-fork';

/** Shorter ones are V8's affair. */
export const LONG = 64 * 1024;
/** Milliseconds without a long buffer after which the memory that waits for one is given back. */
const IDLE = 1000;

let timer: NodeJS.Timeout | undefined;
let used = false;

/** An ArrayBuffer of exactly this length, with anything in it. */
export function takeBuffer(length: number): ArrayBuffer {
  used = true;
  timer ??= setTimeout(look, IDLE).unref();
  return native.takeBuffer(length) ?? new ArrayBuffer(length);
}

function look(): void {
  timer = undefined;
  if (used) timer = setTimeout(look, IDLE).unref();
  else native.trimBuffers();
  used = false;
}

registerAtFork({
  afterInChild() {
    timer = undefined; // the parent's
    native.trimBuffers();
  },
});
