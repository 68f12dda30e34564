/** First in, first out, in constant time however long it gets. */
export class Fifo<T> {
  #items: (T | undefined)[] = [];
  #from = 0;

  get length(): number {
    return this.#items.length - this.#from;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** The first one, which stays. */
  peek(): T | undefined {
    return this.#items[this.#from];
  }

  shift(): T | undefined {
    const item = this.#items[this.#from];
    this.#items[this.#from++] = undefined;
    if (this.#from === this.#items.length) {
      this.#items = [];
      this.#from = 0;
    } else if (this.#from > 1024 && this.#from * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#from);
      this.#from = 0;
    }
    return item;
  }

  /** Take one out of its place; whether it was there. */
  remove(item: T): boolean {
    const index = this.#items.indexOf(item, this.#from);
    if (index < 0) return false;
    this.#items.splice(index, 1);
    return true;
  }

  /** Take all. */
  drain(): T[] {
    const all = this.#items.slice(this.#from) as T[];
    this.#items = [];
    this.#from = 0;
    return all;
  }
}
