// The page `chat.html`: a chat room, alone or in a frame of another page.
// With #token=… in the address it comes in at once; with an API key it makes its own tokens (for trying things out).

import { Room } from "./room.js";

/** @template {HTMLElement} T @param {string} id @returns {T} */
const element = (id) => /** @type {T} */ (document.getElementById(id));
/** @type {HTMLInputElement} */ const keyField = element("key");
/** @type {HTMLInputElement} */ const roomField = element("room");
/** @type {HTMLInputElement} */ const nameField = element("name");
/** @type {HTMLSelectElement} */ const asField = element("as");
/** @type {HTMLTextAreaElement} */ const wordsField = element("words");
const list = element("messages");
const statusLine = element("status");
/** How long after the last key somebody types, in ms. */
const TYPING_MS = 3000;

/** @type {Room | null} */ let room = null;
/** Entries by the id of their message, or by the sender's own while it is on its way. @type {Map<string, HTMLLIElement>} */
const entries = new Map();
/** Those who type. @type {Set<string>} */
const typists = new Set();
/** Names by user. @type {Map<string, string>} */
const names = new Map();
let helper = false;
/** @type {ReturnType<typeof setTimeout> | undefined} */ let typingTimer;

const fragment = new URLSearchParams(location.hash.slice(1));
// neither a key nor a token stays in the address bar
history.replaceState(null, "", location.pathname);
keyField.value = fragment.get("key") ?? "";
if (fragment.get("chat")) roomField.value = fragment.get("chat") ?? "";
if (fragment.get("token")) enterWithToken();

element("enter").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!keyField.value) {
    notify("Enter an API key: make run prints one. Pages of your own bring a token instead.");
    return;
  }
  helper = asField.value === "helper";
  const name = nameField.value.trim() || (helper ? "Support" : "Guest");
  const userId = `${helper ? "helper" : "guest"}_${crypto.randomUUID().slice(0, 8)}`;
  enter(() => ask(`/v1/rooms/${encodeURIComponent(roomField.value)}/tokens`, { userId, name, isAuthenticated: helper }));
});

/** @param {string} path @param {Record<string, unknown>} body */
async function ask(path, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { authorization: `Bearer ${keyField.value}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.error?.message ?? `The server answered ${answer.status}.`);
  return said;
}

function enterWithToken() {
  const token = fragment.get("token") ?? "";
  const wsUrl = `${location.origin.replace("http", "ws")}/chat`;
  /** @type {Record<string, any>} */
  let claims = {};
  try {
    claims = JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));
  } catch {
    notify("The token in the address is none.");
    return;
  }
  helper = claims.isAuthenticated === true;
  enter(async () => ({ token, wsUrl, userId: claims.userId, chatId: claims.chatId }));
}

/** @param {() => Promise<import("./room.js").Ticket>} ticket */
function enter(ticket) {
  notify("");
  room = new Room(ticket, { message: receive, state: show });
}

/** @param {"connecting" | "open" | "closed"} state @param {string} detail */
function show(state, detail) {
  statusLine.dataset.state = state === "open" ? "live" : "idle";
  statusLine.textContent = state === "open" ? `In ${detail}` : state === "connecting" ? "Connecting…" : "Not connected";
  if (state === "open") {
    element("enter").hidden = true;
    element("talk").hidden = false;
    element("join").hidden = !helper;
    element("release").hidden = !helper;
    if (entries.size === 0) room?.send({ type: "history", limit: 30 });
  }
  if (state === "closed") notify(detail || "The connection was refused.");
}

/** @param {import("./room.js").Message} message */
function receive(message) {
  switch (message.type) {
    case "message":
      told(message.data);
      break;
    case "message_updated":
      write(message.data, entries.get(message.data.id) ?? entry(message.data.id));
      break;
    case "history":
      older(message.messages, message.more);
      break;
    case "ack":
      settle(message.data);
      break;
    case "typing":
      typing(message.data);
      break;
    case "presence":
      element("people").textContent = `Here: ${message.data.users.map((/** @type {string} */ user) => names.get(user) ?? user).join(", ")}`;
      break;
    case "read":
      read(message.data);
      break;
    case "message_delta":
      delta(message.data);
      break;
    case "agent_joined":
      line(`${message.data.agentName} has joined.`);
      break;
    case "handover":
      line(message.data.to === "human" ? `A person answers from here on.${message.data.reason ? ` ${message.data.reason}` : ""}` : "The agent answers from here on.");
      break;
    case "error":
      failed(message);
      break;
  }
}

/** @param {Record<string, any>} data */
function told(data) {
  typists.delete(data.sender?.id);
  showTyping();
  list.querySelector("li[data-writing]")?.remove();
  // one's own is there already, by the sender's id, until `ack` names it
  const own = data.sender?.id === room?.userId;
  const waiting = own && [...entries.values()].find((it) => it.dataset.waiting && it.querySelector(".words")?.textContent === data.content);
  const target = waiting || entries.get(data.id) || entry(data.id);
  entries.set(data.id, target);
  write(data, target);
  if (!own) room?.send({ type: "read", id: data.id });
}

/** @param {string} id @param {boolean} [first] */
function entry(id, first = false) {
  list.querySelector(".empty")?.remove();
  const item = document.createElement("li");
  for (const part of ["who", "words", "state"]) {
    const span = document.createElement("span");
    span.className = part;
    item.append(span);
  }
  entries.set(id, item);
  if (first) list.prepend(item);
  else list.append(item);
  item.scrollIntoView({ block: "nearest" });
  return item;
}

/** @param {HTMLElement} item @param {string} part @param {string} text */
function put(item, part, text) {
  const span = item.querySelector(`.${part}`);
  if (span) span.textContent = text;
}

/** @param {Record<string, any>} data @param {HTMLLIElement} item */
function write(data, item) {
  const own = data.sender?.id === room?.userId;
  const name = data.sender?.name ?? (data.role === "user" ? "Customer" : "Support");
  if (data.sender?.id) names.set(data.sender.id, name);
  item.className = own ? "own" : data.role;
  item.dataset.id = data.id;
  item.dataset.role = data.role;
  delete item.dataset.waiting;
  put(item, "who", own ? "You" : name);
  put(item, "words", data.content);
  put(item, "state", data.updatedAt ? "changed" : "");
  if (own && !item.querySelector("button")) {
    const edit = document.createElement("button");
    edit.type = "button";
    edit.className = "edit";
    edit.textContent = "Change";
    edit.addEventListener("click", () => change(item));
    item.append(edit);
  }
}

/** @param {HTMLLIElement} item */
function change(item) {
  const words = prompt("Other words for this message", item.querySelector(".words")?.textContent ?? "");
  if (words?.trim()) room?.send({ type: "edit", id: item.dataset.id, content: words });
}

/** @param {Record<string, any>[]} messages @param {boolean} more */
function older(messages, more) {
  for (const data of messages.toReversed()) {
    if (!entries.has(data.id)) write(data, entry(data.id, true));
  }
  element("older").hidden = !more;
}

/** @param {Record<string, any>} data */
function settle(data) {
  const item = entries.get(data.clientId) ?? entries.get(data.id);
  entries.delete(data.clientId);
  if (!item) return;
  delete item.dataset.waiting;
  if (!entries.has(data.id)) entries.set(data.id, item);
  item.dataset.id = data.id;
  put(item, "state", data.delivery === "local" ? "sent, others get it in a moment" : "sent");
}

/** @param {Record<string, any>} message */
function failed(message) {
  const item = message.clientId && entries.get(message.clientId);
  if (item) put(item, "state", `not sent: ${message.message ?? message.error}`);
  else notify(message.message ? `${message.error}: ${message.message}` : message.error);
}

/** @param {{ userId: string, isTyping: boolean }} data */
function typing(data) {
  if (data.isTyping) typists.add(data.userId);
  else typists.delete(data.userId);
  showTyping();
}

function showTyping() {
  const who = [...typists].map((user) => names.get(user) ?? "Somebody").join(", ");
  element("typing").textContent = who ? `${who} is typing…` : "";
}

/** @param {{ userId: string, id: string }} data */
function read(data) {
  if (data.userId === room?.userId) return;
  const item = entries.get(data.id);
  if (item?.className === "own") put(item, "state", "read");
}

/** @param {{ id: string, delta: string, done: boolean }} data */
function delta(data) {
  /** @type {HTMLLIElement | null} */
  let item = list.querySelector(`li[data-writing="${CSS.escape(data.id)}"]`);
  if (!item) {
    if (data.done) return;
    item = entry(data.id);
    entries.delete(data.id);
    item.dataset.writing = data.id;
    put(item, "who", "Agent");
  }
  item.querySelector(".words")?.append(data.delta);
  if (data.done && !item.querySelector(".words")?.textContent) item.remove();
}

/** @param {string} text */
function line(text) {
  list.querySelector(".empty")?.remove();
  const item = document.createElement("li");
  item.className = "notice-line";
  item.textContent = text;
  list.append(item);
  item.scrollIntoView({ block: "nearest" });
}

/** @param {string} text */
function notify(text) {
  element("notice").textContent = text;
}

element("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const words = wordsField.value.trim();
  if (!words || !room) return;
  const clientId = room.say(words, helper ? "ASSISTANT" : "USER");
  const item = entry(clientId);
  item.className = "own";
  item.dataset.waiting = "yes";
  put(item, "who", "You");
  put(item, "words", words);
  put(item, "state", "sending…");
  wordsField.value = "";
  stopTyping();
});
wordsField.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    /** @type {HTMLFormElement} */ (element("say")).requestSubmit();
  }
});
wordsField.addEventListener("input", () => {
  if (!typingTimer) room?.send({ type: "typing", isTyping: true });
  clearTimeout(typingTimer);
  typingTimer = setTimeout(stopTyping, TYPING_MS);
});

function stopTyping() {
  if (!typingTimer) return;
  clearTimeout(typingTimer);
  typingTimer = undefined;
  room?.send({ type: "typing", isTyping: false });
}

element("older").addEventListener("click", () => {
  const first = list.querySelector("li[data-id]");
  room?.send({ type: "history", before: first instanceof HTMLElement ? first.dataset.id : undefined, limit: 30 });
});
element("join").addEventListener("click", () => room?.send({ type: "agent_joined" }));
element("person").addEventListener("click", () => room?.send({ type: "hand_over", reason: "" }));
element("release").addEventListener("click", () => room?.send({ type: "release" }));
