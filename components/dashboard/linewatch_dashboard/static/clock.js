// How old something is, without trusting that this machine's clock is set.
//
// Each message carries the server's monotonic clock at sending. The smallest difference to our own clock that was ever seen is the
// offset of the two clocks plus the quickest way; whatever a message shows above that, it was delayed on the way.

export class Ages {
  #quickest = Infinity;

  constructor(now = () => performance.now()) {
    this.now = now;
  }

  /** Begin anew: another server, another clock. */
  reset() {
    this.#quickest = Infinity;
  }

  /** The moment, on our clock, at which a thing began that a message said to be `ageMs` old. */
  beginOf(serverMs, ageMs) {
    const difference = this.now() - serverMs;
    this.#quickest = Math.min(this.#quickest, difference);
    return this.now() - ageMs - (difference - this.#quickest);
  }
}
