// The WebSocket: opens it, opens it again, and says when nothing comes any more.

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 5000;
// The server speaks at least every second.
const SILENT_MS = 3500;
const TRY_AGAIN_LATER = 1013;

export class Link {
  #socket = null;
  #retryMs = FIRST_RETRY_MS;
  #heardAt = -Infinity;
  #trouble = "connecting";

  /** `onState(object)`, `onInspection(ArrayBuffer)` and `onTrouble(words or "")` are called as things happen. */
  constructor({ onState, onInspection, onTrouble, onOpen }) {
    this.onState = onState;
    this.onInspection = onInspection;
    this.onTrouble = onTrouble;
    this.onOpen = onOpen;
  }

  open() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}/live?acknowledge=1`);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#heardAt = performance.now();
    socket.addEventListener("open", () => this.onOpen());
    socket.addEventListener("message", (event) => this.#message(socket, event.data));
    socket.addEventListener("close", (event) => this.#closed(socket, event));
  }

  /** Tell the server that the last inspection is on the screen. */
  acknowledge() {
    if (this.#socket?.readyState === WebSocket.OPEN) {
      this.#socket.send("shown");
    }
  }

  /** Call it a few times a second: a connection may die without a word. */
  check() {
    if (this.#socket && performance.now() - this.#heardAt > SILENT_MS) {
      const dead = this.#socket;
      this.#closed(dead, { code: 0 });
      dead.close();
    }
  }

  #message(socket, data) {
    if (socket !== this.#socket) {
      return;
    }
    this.#heardAt = performance.now();
    this.#retryMs = FIRST_RETRY_MS;
    this.#say("");
    if (typeof data === "string") {
      this.onState(JSON.parse(data));
    } else {
      this.onInspection(data);
    }
  }

  #closed(socket, event) {
    if (socket !== this.#socket) {
      return;
    }
    this.#socket = null;
    this.#say(event.code === TRY_AGAIN_LATER ? "too many viewers" : "connection lost");
    setTimeout(() => this.open(), this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, LAST_RETRY_MS);
  }

  #say(trouble) {
    if (trouble !== this.#trouble) {
      this.#trouble = trouble;
      this.onTrouble(trouble);
    }
  }
}
