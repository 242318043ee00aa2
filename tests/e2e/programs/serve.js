// Serves a WebSocket, and elsewhere three bytes; prints its port.
const http = require("http");
const { WebSocketServer } = require("ws");
const server = http.createServer((request, response) => {
  const fields = { "Content-Type": "application/vnd.test", "Cache-Control": "no-store", "Content-Length": 3 };
  response.writeHead(200, fields);
  response.end("one");
});
server.keepAliveTimeout = 65000;
new WebSocketServer({ server }).on("connection", (socket) => socket.close());
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
