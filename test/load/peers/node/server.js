// Node's Socket.IO as a fair rival: what the server of 2014 did, on the newest
// release, without Express, and with what Socket.IO's manual says about speed and memory.
const http = require('node:http');
const querystring = require('node:querystring');
const { Server } = require('socket.io');

const answers = new Map();
for (const text of ['OK', 'ERROR']) {
  answers.set(text, { 'Content-Type': 'text/plain', 'Content-Length': text.length });
}

function answer(res, text) {
  res.writeHead(200, answers.get(text));
  res.end(text);
}

const server = http.createServer((req, res) => {
  if (req.method !== 'POST' || req.url !== '/emit') {
    res.writeHead(404);
    res.end();
    return;
  }
  req.setEncoding('utf8');
  let body = '';
  req.on('data', (chunk) => { body += chunk; });
  req.on('end', () => {
    const form = querystring.parse(body, '&', '=', { maxKeys: 0 });
    const ids = [form.id ?? form['id[]']].flat();
    const rooms = io.sockets.adapter.rooms;
    if (!ids.some((id) => rooms.has(id))) {
      answer(res, 'ERROR');
      return;
    }
    io.to(ids).emit(form.message, JSON.parse(form.data));
    answer(res, 'OK');
  });
});
server.keepAliveTimeout = 600_000;

const io = new Server(server, {
  transports: ['websocket', 'polling'],
  perMessageDeflate: false,
  httpCompression: false,
  serveClient: false,
});
io.engine.on('connection', (socket) => { socket.request = null; }); // the manual's advice against memory
io.on('connection', (socket) => {
  socket.on('register', ({ userid }, callback) => {
    socket.join(userid);
    callback?.({ ok: true });
  });
});

server.listen(Number(process.argv[2]), '127.0.0.1');
