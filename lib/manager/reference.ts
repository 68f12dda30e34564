/** In the server: an object in an answer. The client that gets it makes a proxy of it. */
import type { Description } from './protocol';

export class Reference {
  constructor(readonly description: Description) {}
}
