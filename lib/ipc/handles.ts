/**
 * Classes whose instances travel by reference: a lock, a queue, a connection. What is sent is a description by which the
 * receiving process reaches the same thing: an offset in the family's memory, a descriptor, an address.
 */

/** Takes what a description needs beside its data. */
export interface HandleSink {
  /**
   * Send a descriptor along; the receiver gets a copy of its own.
   *
   * @returns The index by which the receiver asks for it.
   * @throws DataCloneError where the message cannot carry descriptors.
   */
  fd(fd: number): number;
  /** Whether the message is for a process that the sender starts or keeps at work: functions in it go by module and name. */
  readonly takesFunctions: boolean;
}

/** Gives what came beside the data of a description. */
export interface HandleSource {
  /**
   * Take a received descriptor; it belongs to the caller from then on.
   *
   * @throws InvalidMessageError when there is none with that index, or it has been taken.
   */
  fd(index: number): number;
}

/** How the instances of one class travel. */
export interface HandleType<T extends object = object> {
  /** Names the class in a message; the same in every process. */
  readonly tag: string;
  /** Its instances, and those of its subclasses. */
  readonly Class: abstract new (...args: never[]) => T;
  /** Describe an object by something that can be cloned. */
  reduce(object: T, sink: HandleSink): unknown;
  /** Reach the same thing by its description. The data come from another process: check them. */
  revive(data: unknown, source: HandleSource): T;
}

const byTag = new Map<string, HandleType>();
const byPrototype = new Map<object, HandleType>();

/** Say how the instances of a class travel. A tag can be given once. */
export function registerHandle<T extends object>(type: HandleType<T>): void {
  if (byTag.has(type.tag)) throw new Error(`a handle with the tag ${type.tag} is registered already`);
  const general = type as unknown as HandleType;
  byTag.set(type.tag, general);
  byPrototype.set(type.Class.prototype as object, general);
}

/** The type of a tag, if any. */
export function handleOfTag(tag: string): HandleType | undefined {
  return byTag.get(tag);
}

/** The type of an object, by the class it is an instance of, if any. */
export function handleOf(object: object): HandleType | undefined {
  for (let at: unknown = Object.getPrototypeOf(object); at !== null; at = Object.getPrototypeOf(at)) {
    const type = byPrototype.get(at as object);
    if (type !== undefined) return type;
  }
  return undefined;
}
