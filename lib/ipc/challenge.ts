/**
 * Showing each other that both have the same key, without sending it, before anything that came is deserialised.
 *
 *     listener   challenge ──────────>            client
 *                          <────────── HMAC of the challenge
 *                welcome or failure ──>
 *     and then the same with the sides exchanged
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { AuthenticationError } from '../errors';
import { invalidType } from '../validate';

const CHALLENGE = Buffer.from('#CHALLENGE#{sha256}');
const WELCOME = Buffer.from('#WELCOME#');
const FAILURE = Buffer.from('#FAILURE#');
const NONCE_BYTES = 40;
/** The longest message of the exchange. */
const LONGEST = 256;

/** A key: bytes, or a text that stands for its UTF-8. */
export type AuthKey = string | Uint8Array;

/** What the exchange needs of a connection. */
export interface ChallengeConnection {
  sendBytes(bytes: Uint8Array): unknown;
  recvBytes(maxLength: number): Uint8Array | Promise<Uint8Array>;
}

/** What the blocking exchange needs of a connection. */
export interface ChallengeConnectionSync {
  sendBytesSync(bytes: Uint8Array): unknown;
  recvBytesSync(maxLength: number): Uint8Array;
}

/** One step: bytes to send, or the wish for bytes. */
type Exchange = Generator<Uint8Array | undefined, void, Uint8Array>;

/** Require a key. An empty one is a key, as in Python. */
export function validateAuthKey(key: unknown, name: string): asserts key is AuthKey {
  if (typeof key !== 'string' && !(ArrayBuffer.isView(key) && 'length' in key)) {
    throw invalidType(name, 'of type string or an instance of Buffer or Uint8Array', key);
  }
}

function mac(key: AuthKey, challenge: Uint8Array): Buffer {
  return createHmac('sha256', key).update(challenge).digest();
}

function* deliver(key: AuthKey): Exchange {
  const challenge = Buffer.concat([CHALLENGE, randomBytes(NONCE_BYTES)]);
  yield challenge;
  const answer = yield undefined;
  const expected = mac(key, challenge);
  if (answer.length === expected.length && timingSafeEqual(answer, expected)) {
    yield WELCOME;
  } else {
    yield FAILURE;
    throw new AuthenticationError('The other end does not have the key: its answer to the challenge is wrong');
  }
}

function* answer(key: AuthKey): Exchange {
  const challenge = yield undefined;
  const prefix = challenge.subarray(0, CHALLENGE.length);
  if (!CHALLENGE.equals(prefix) || challenge.length < CHALLENGE.length + NONCE_BYTES / 2) {
    throw new AuthenticationError('The other end has sent no challenge');
  }
  yield mac(key, challenge);
  if (!WELCOME.equals(yield undefined)) {
    throw new AuthenticationError('The other end has refused the answer to its challenge: the keys differ');
  }
}

async function run(connection: ChallengeConnection, exchange: Exchange): Promise<void> {
  let received: Uint8Array = FAILURE;
  for (let step = exchange.next(received); step.done !== true; step = exchange.next(received)) {
    if (step.value === undefined) received = await connection.recvBytes(LONGEST);
    else await connection.sendBytes(step.value);
  }
}

function runSync(connection: ChallengeConnectionSync, exchange: Exchange): void {
  let received: Uint8Array = FAILURE;
  for (let step = exchange.next(received); step.done !== true; step = exchange.next(received)) {
    if (step.value === undefined) received = connection.recvBytesSync(LONGEST);
    else connection.sendBytesSync(step.value);
  }
}

/**
 * Have the other end of a connection show that it has a key.
 *
 * @param connection - A connection whose other end calls {@link answerChallenge}.
 * @param authKey - The key.
 * @throws {@link AuthenticationError} `ERR_AUTHENTICATION` it does not.
 * @remarks `Listener` and `Client` do this both ways when they have a key. SHA-256 is used, and not Python's MD5: the two do
 * not understand each other.
 * @example
 * ```js
 * await Promise.all([deliverChallenge(a, 'secret'), answerChallenge(b, 'secret')]);
 * ```
 * @see multiprocessing.connection.deliver_challenge
 */
export async function deliverChallenge(connection: ChallengeConnection, authKey: AuthKey): Promise<void> {
  validateAuthKey(authKey, 'authKey');
  await run(connection, deliver(authKey));
}

/**
 * Show the other end of a connection that this one has a key.
 *
 * @param connection - A connection whose other end calls {@link deliverChallenge}.
 * @param authKey - The key.
 * @throws {@link AuthenticationError} `ERR_AUTHENTICATION` what comes is no challenge, or the other end has another key.
 * @example
 * ```js
 * await Promise.all([deliverChallenge(a, 'secret'), answerChallenge(b, 'secret')]);
 * ```
 * @see multiprocessing.connection.answer_challenge
 */
export async function answerChallenge(connection: ChallengeConnection, authKey: AuthKey): Promise<void> {
  validateAuthKey(authKey, 'authKey');
  await run(connection, answer(authKey));
}

/**
 * As {@link deliverChallenge}, blocking the process.
 *
 * @param connection - A connection whose other end, in another process, answers.
 * @param authKey - The key.
 * @throws {@link AuthenticationError} `ERR_AUTHENTICATION` the other end does not have the key.
 * @example
 * ```js
 * deliverChallengeSync(connection, 'secret');
 * ```
 * @see multiprocessing.connection.deliver_challenge
 */
export function deliverChallengeSync(connection: ChallengeConnectionSync, authKey: AuthKey): void {
  validateAuthKey(authKey, 'authKey');
  runSync(connection, deliver(authKey));
}

/**
 * As {@link answerChallenge}, blocking the process.
 *
 * @param connection - A connection whose other end, in another process, has delivered a challenge.
 * @param authKey - The key.
 * @throws {@link AuthenticationError} `ERR_AUTHENTICATION` what comes is no challenge, or the other end has another key.
 * @example
 * ```js
 * answerChallengeSync(connection, 'secret');
 * ```
 * @see multiprocessing.connection.answer_challenge
 */
export function answerChallengeSync(connection: ChallengeConnectionSync, authKey: AuthKey): void {
  validateAuthKey(authKey, 'authKey');
  runSync(connection, answer(authKey));
}

/** The side of a handshake: who challenges first. */
export type Side = 'listener' | 'client';

/** A connection whose waits end in time, for a handshake. */
export interface LimitedConnection {
  sendBytes(bytes: Uint8Array, options: { timeout: number; signal?: AbortSignal }): Promise<void>;
  recvBytes(options: { maxLength: number; timeout: number; signal?: AbortSignal }): Promise<Uint8Array>;
  sendBytesSync(bytes: Uint8Array): void;
  recvBytesSync(options: { maxLength: number; timeout: number }): Uint8Array;
}

const sides = { listener: [deliver, answer], client: [answer, deliver] } as const;

/** Both ways, within `milliseconds`. */
export async function shakeHands(
  connection: LimitedConnection,
  key: AuthKey,
  side: Side,
  milliseconds: number,
  signal?: AbortSignal,
): Promise<void> {
  const deadline = performance.now() + milliseconds;
  const options = () => ({ timeout: Math.max(0, deadline - performance.now()), ...(signal && { signal }) });
  const limited: ChallengeConnection = {
    sendBytes: (bytes) => connection.sendBytes(bytes, options()),
    recvBytes: (maxLength) => connection.recvBytes({ maxLength, ...options() }),
  };
  for (const part of sides[side]) await run(limited, part(key));
}

/** As {@link shakeHands}, blocking the process. */
export function shakeHandsSync(connection: LimitedConnection, key: AuthKey, side: Side, milliseconds: number): void {
  const deadline = performance.now() + milliseconds;
  const limited: ChallengeConnectionSync = {
    sendBytesSync: (bytes) => connection.sendBytesSync(bytes),
    recvBytesSync: (maxLength) =>
      connection.recvBytesSync({ maxLength, timeout: Math.max(0, deadline - performance.now()) }),
  };
  for (const part of sides[side]) runSync(limited, part(key));
}
