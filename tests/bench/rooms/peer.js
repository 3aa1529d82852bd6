// The usual way to serve chat rooms with Node: `ws` for sockets, `ioredis` between servers, a token at the door.
// Run by tests/bench/rooms/run.sh beside our server, with the same load.
// It does the same work and no more: every message is published, heard, and sent to each socket of its room, once.

import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import Redis from "ioredis";
import jwt from "jsonwebtoken";
import { WebSocketServer } from "ws";

const { JWT_SECRET, REDIS_URL, PORT } = process.env;
const publisher = new Redis(REDIS_URL);
const subscriber = new Redis(REDIS_URL);
/** Sockets by room. @type {Map<string, Set<import("ws").WebSocket>>} */
const rooms = new Map();

subscriber.on("message", (channel, payload) => {
  for (const socket of rooms.get(channel.slice("chat:".length)) ?? []) {
    if (socket.readyState === socket.OPEN) socket.send(payload);
  }
});

const server = createServer((_, response) => response.end("{}"));
new WebSocketServer({ server }).on("connection", async (socket, request) => {
  let claims;
  try {
    claims = jwt.verify(new URL(request.url, "http://localhost").searchParams.get("token"), JWT_SECRET);
  } catch {
    socket.close(4002, "Invalid token");
    return;
  }
  const { userId, chatId } = claims;
  socket.on("message", (data) => {
    const message = JSON.parse(data.toString());
    if (message.type !== "message") return;
    const timestamp = new Date().toISOString();
    const sender = { id: userId, name: null, email: null, avatar: null };
    const said = { id: randomUUID(), content: message.content, role: message.role.toLowerCase(), timestamp, sender };
    publisher.publish(`chat:${chatId}`, JSON.stringify({ type: "message", data: said, timestamp }));
  });
  socket.on("close", () => {
    const room = rooms.get(chatId);
    room?.delete(socket);
    if (room?.size === 0) {
      rooms.delete(chatId);
      subscriber.unsubscribe(`chat:${chatId}`);
    }
  });
  const room = rooms.get(chatId);
  if (room) {
    room.add(socket);
  } else {
    rooms.set(chatId, new Set([socket]));
    await subscriber.subscribe(`chat:${chatId}`);
  }
  socket.send(JSON.stringify({ type: "connected", chatId, timestamp: new Date().toISOString() }));
});
server.listen(Number(PORT), "127.0.0.1", () => console.log("listening"));
