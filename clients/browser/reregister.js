/*
 * doit-socket: registers again after a reconnect.
 *
 * A page registers once. When the connection breaks, the new one is a stranger to the server, and the page would be deaf
 * until it is reloaded. So we note each `register` that really goes out on a socket, take it back on `unregister`, and
 * repeat after a reconnect what the page has not sent again itself, in its connect handler or from the client's buffer.
 * The repeat carries no callback: the page's own is called once, for its own call.
 *
 * A socket that the page itself disconnects is forgotten: who connects it again decides anew whom it hears.
 *
 * ES5. Wraps what every client since 1.0 has in common; a client without it is left alone. Nothing here may throw.
 */
(function (io) {
  'use strict';
  var EVENT = 2; // the packet type of the Socket.IO protocol, the same in all its versions
  var proto = io && io.Socket && io.Socket.prototype;
  if (!proto || proto.doitRegistered || typeof proto.packet !== 'function' || typeof proto.onconnect !== 'function') return;

  // Each: {key, args, sent}. args is what followed the event name; sent: on the present connection.
  proto.doitRegistered = [];

  function ids(payload) {
    var id = payload && payload.userid;
    return id === undefined || id === null ? [] : [].concat(id).map(String);
  }

  function note(socket, args) {
    var key = ids(args[0]).join('\n');
    if (!key) return;
    var kept = socket.doitRegistered.filter(function (entry) { return entry.key !== key; });
    // A copy, as the page may change its object later.
    socket.doitRegistered = kept.concat({ key: key, args: JSON.parse(JSON.stringify(args)), sent: true });
  }

  function forget(socket, args) {
    var gone = ids(args[0]);
    socket.doitRegistered = socket.doitRegistered.filter(function (entry) {
      var payload = entry.args[0];
      var left = ids(payload).filter(function (id) { return gone.indexOf(id) < 0; });
      if (payload && Array.isArray(payload.userid)) payload.userid = left;
      entry.key = left.join('\n');
      return left.length > 0;
    });
  }

  function repeat(socket) {
    if (!socket.connected) return;
    socket.doitRegistered.forEach(function (entry) {
      if (!entry.sent) socket.emit.apply(socket, ['register'].concat(entry.args));
    });
  }

  function quietly(f) {
    try { f(); } catch (e) { /* what the page gets is the client without us */ }
  }

  function wrap(name, before, after) {
    var original = proto[name];
    if (typeof original !== 'function') return;
    proto[name] = function () {
      var socket = this, args = arguments;
      quietly(function () { before(socket, args[0]); });
      try {
        return original.apply(socket, args);
      } finally { // also when a connect handler of the page throws
        if (after) quietly(function () { after(socket); });
      }
    };
  }

  wrap('packet', function (socket, packet) {
    if (packet.type !== EVENT) return;
    if (packet.data[0] === 'register') note(socket, packet.data.slice(1));
    if (packet.data[0] === 'unregister') forget(socket, packet.data.slice(1));
  });

  // The client's own onconnect flushes its buffer and calls the page's connect handlers: what they register is sent.
  wrap('onconnect', function (socket) {
    socket.doitRegistered.forEach(function (entry) { entry.sent = false; });
  }, repeat);

  function clear(socket) { socket.doitRegistered = []; }
  wrap('disconnect', clear);
  wrap('close', clear);
})(typeof io === 'function' ? io : null);
