// Node's Socket.IO as a fair rival: the newest release, with what its manual
// says about speed and memory. server.js and express.js put an /emit before it.
const { Server } = require('socket.io');

module.exports = function (server) {
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

  // emit returns what the predecessor answered: whether anybody was there.
  function emit({ id, message, data }) {
    const ids = [id].flat();
    const rooms = io.sockets.adapter.rooms;
    if (!ids.some((id) => rooms.has(id))) return 'ERROR';
    io.to(ids).emit(message, JSON.parse(data));
    return 'OK';
  }
  return emit;
};
