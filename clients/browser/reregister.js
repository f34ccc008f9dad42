/*
 * doit-socket: registers again after a reconnect.
 *
 * A page registers once. When the connection breaks, the new one is a stranger to the server, and the page would be deaf
 * until it is reloaded. So each `register` and `unregister` that goes out on a socket is noted, with the server's answer.
 * After a reconnect, what the page has not sent again itself, in its connect handler or from the client's buffer, is
 * repeated. The repeat carries no callback: the page's own is called once, for its own call.
 *
 * What the server refused is not repeated. Where the page gave no callback, the refusal is a warning in the console, and
 * a registration for which the server is too busy now ("try again") is tried again later. For this the packet asks for an
 * answer. One that has no `userid` is left as it is: the server refuses it, and says so in its log.
 *
 * A socket that the page itself disconnects is forgotten: who connects it again decides anew whom it hears.
 *
 * ES5. Wraps what every client since 1.0 has in common; a client without it is left alone. Nothing here may throw.
 */
function doitRepeat(io) {
  'use strict';
  var EVENT = 2; // the packet type of the Socket.IO protocol, the same in all its versions
  var MOST = 1000; // calls that are kept; of more, the oldest count as taken, without the server's answer
  var proto = io && io.Socket && io.Socket.prototype;
  if (!proto || proto.doitCalls || typeof proto.packet !== 'function' || typeof proto.onconnect !== 'function') return io;

  // What the page asked for, in this order. Each: {register, args, ids, text, silent, sent, taken, answer}. register: or
  // unregister. args: what followed the event name. text: the same as JSON. silent: the page gave no callback. sent: on
  // the present connection. taken: the server said so. answer: the id of the answer that is awaited. The list is replaced,
  // never changed, as all sockets begin with this one.
  proto.doitCalls = [];

  function ids(payload) {
    var id = payload && payload.userid;
    return id === undefined || id === null ? [] : [].concat(id).map(String);
  }

  // The call without some of its ids, or null if none is left.
  function without(call, gone) {
    var stays = function (id) { return gone.indexOf(String(id)) < 0; };
    if (call.ids.every(stays)) return call;
    var left = call.ids.filter(stays), payload = JSON.parse(call.text)[0];
    if (!left.length) return null;
    payload.userid = payload.userid.filter(stays);
    var args = [payload].concat(call.args.slice(1));
    return {
      register: true, args: args, ids: left, text: JSON.stringify(args),
      silent: call.silent, sent: call.sent, taken: call.taken, answer: call.answer
    };
  }

  // The registrations that stand after the calls: a later call replaces an earlier one of the same id, or ends it.
  function standing(calls) {
    return calls.reduce(function (kept, call) {
      kept = kept.filter(function (one) { return one.text !== call.text; })
        .map(function (one) { return without(one, call.ids); })
        .filter(function (one) { return one !== null; });
      return call.register ? kept.concat(call) : kept;
    }, []);
  }

  // Forgets the calls that others have replaced. A refusal undoes a call, so those behind one without an answer stay.
  function settle(calls) {
    var n = 0;
    while (n < calls.length && (calls[n].taken || calls.length - n > MOST)) n++;
    return standing(calls.slice(0, n)).concat(calls.slice(n));
  }

  // Before a packet goes out.
  function note(socket, packet) {
    var name = packet.type === EVENT && packet.data[0];
    if (name !== 'register' && name !== 'unregister') return;
    var args = packet.data.slice(1), silent = typeof packet.id !== 'number';
    if (silent && !ids(args[0]).length) return;
    if (silent && typeof socket.ids === 'number') packet.id = socket.ids++; // as the client counts them
    var text = JSON.stringify(args);
    socket.doitCalls = settle(socket.doitCalls.concat({
      register: name === 'register', text: text,
      args: JSON.parse(text), // a copy, as the page may change its object later
      ids: ids(args[0]), silent: silent, sent: true, taken: typeof packet.id !== 'number', answer: packet.id
    }));
  }

  // Before the client calls the callback of an answer.
  function answered(socket, packet) {
    var answer = packet.data && packet.data[0], refused = answer && answer.ok === false;
    socket.doitCalls = settle(socket.doitCalls.filter(function (call) {
      if (typeof packet.id !== 'number' || call.answer !== packet.id) return true;
      call.answer = undefined;
      call.taken = !refused;
      if (!refused || !call.silent) return !refused;
      warn((call.register ? 'register' : 'unregister') + ' was refused: ' + answer.error);
      if (!call.register || !/try again/.test(answer.error)) return false;
      call.sent = false;
      later(socket, /try again in (\d+) s/.exec(answer.error));
      return true;
    }));
  }

  function warn(text) {
    if (typeof console !== 'undefined' && console.warn) console.warn('doit-socket: ' + text);
  }

  // Not all pages of a site at the same time.
  function later(socket, named) {
    var seconds = Math.min(named ? Number(named[1]) : 5, 600);
    if (socket.doitTimer) return;
    socket.doitTimer = setTimeout(function () {
      socket.doitTimer = null;
      quietly(function () { repeat(socket); });
    }, seconds * 1000 * (1 + Math.random()));
  }

  function repeat(socket) {
    if (!socket.connected) return;
    var again = standing(socket.doitCalls).filter(function (call) { return !call.sent; });
    socket.doitCalls = socket.doitCalls.filter(function (call) { return call.sent; });
    again.forEach(function (call) { socket.emit.apply(socket, ['register'].concat(call.args)); });
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

  wrap('packet', note);
  wrap('onack', answered);

  // The client's own onconnect flushes its buffer and calls the page's connect handlers: what they register is sent.
  wrap('onconnect', function (socket) {
    socket.doitCalls = standing(socket.doitCalls);
    socket.doitCalls.forEach(function (call) {
      call.sent = call.taken = false;
      call.answer = undefined;
    });
  }, repeat);

  function clear(socket) {
    socket.doitCalls = [];
    clearTimeout(socket.doitTimer);
    socket.doitTimer = null;
  }
  wrap('disconnect', clear);
  wrap('close', clear);
  return io;
}
