// A chat room as a page sees it: one socket that comes back by itself and misses nothing.
// Used by chat.js; needs nothing but a way to get a token.

/** Longest pause between two attempts to come back, in ms. */
const LONGEST_PAUSE_MS = 30_000;
/** Close codes behind which a fresh token is needed, or nothing helps. */
const REFUSED = new Set([4001, 4002]);

/**
 * @typedef {{ token: string, wsUrl: string, userId: string, chatId: string }} Ticket
 * @typedef {Record<string, any>} Message
 * @typedef {{ message: (message: Message) => void, state: (state: "connecting" | "open" | "closed", detail: string) => void }} Hooks
 */

export class Room {
  /**
   * @param {() => Promise<Ticket>} ticket asked again before every connection: tokens expire
   * @param {Hooks} hooks
   */
  constructor(ticket, hooks) {
    this.ticket = ticket;
    this.hooks = hooks;
    /** The last message that was seen. @type {string | null} */
    this.last = null;
    this.userId = "";
    this.attempts = 0;
    this.left = false;
    /** Said and not yet acknowledged: said again after a new connection, once for everybody. @type {Map<string, Message>} */
    this.unsent = new Map();
    /** @type {WebSocket | null} */
    this.socket = null;
    void this.connect();
  }

  async connect() {
    this.hooks.state("connecting", "");
    /** @type {Ticket} */
    let ticket;
    try {
      ticket = await this.ticket();
    } catch (error) {
      this.hooks.state("closed", String(error instanceof Error ? error.message : error));
      return;
    }
    if (this.left) return;
    this.userId = ticket.userId;
    const address = new URL(ticket.wsUrl);
    address.searchParams.set("token", ticket.token);
    address.searchParams.set("events", "all");
    if (this.last) address.searchParams.set("since", this.last);
    const socket = new WebSocket(address);
    this.socket = socket;
    socket.onmessage = (frame) => this.receive(JSON.parse(frame.data));
    socket.onclose = (event) => this.closed(event);
  }

  /** @param {Message} message */
  receive(message) {
    if (message.type === "connected") {
      this.attempts = 0;
      this.hooks.state("open", message.chatId);
      for (const unsent of this.unsent.values()) this.send(unsent);
    }
    if (message.type === "message") this.last = message.data.id;
    // nobody has said anything since, and somebody may before this comes back
    if (message.type === "history") this.last ??= message.messages.at(-1)?.id ?? null;
    if (message.type === "ack") this.unsent.delete(message.data.clientId);
    if (message.type === "error" && message.clientId) this.unsent.delete(message.clientId);
    this.hooks.message(message);
  }

  /** @param {CloseEvent} event */
  closed(event) {
    this.socket = null;
    if (this.left) return;
    this.attempts += 1;
    if (REFUSED.has(event.code) && this.attempts > 3) {
      this.hooks.state("closed", event.reason);
      return;
    }
    this.hooks.state("connecting", event.reason);
    setTimeout(() => void this.connect(), Math.min(250 * 2 ** this.attempts, LONGEST_PAUSE_MS));
  }

  /** @param {Message} message */
  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  /**
   * Says something; it survives a lost connection and is never said twice.
   * @param {string} content @param {string} role @returns {string} the id that `ack` will name
   */
  say(content, role) {
    const clientId = crypto.randomUUID();
    const message = { type: "message", content, role, clientId };
    this.unsent.set(clientId, message);
    this.send(message);
    return clientId;
  }

  leave() {
    this.left = true;
    this.socket?.close(1000);
  }
}
