// Opens a WebSocket: ask URL METHOD NAME=VALUE...
const { WebSocket } = require("ws");
const [url, , ...words] = process.argv.slice(2);
const headers = Object.fromEntries(words.map((word) => word.split(/=(.*)/s, 2)));
const socket = new WebSocket(url, { headers });
socket.on("open", () => socket.close());
socket.on("close", () => process.exit(0));
