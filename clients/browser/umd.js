/*
 * doit-socket serves Socket.IO's client within this, so that whoever loads it gets the client that registers again: a
 * script tag or a worker (the global io), RequireJS (define), CommonJS (module.exports). These are the client's own ways.
 */
(function (root, make) {
  if (typeof exports === 'object' && typeof module !== 'undefined') module.exports = make();
  else if (typeof define === 'function' && define.amd) define(function () { return make(); });
  else root.io = make();
})(typeof globalThis !== 'undefined' ? globalThis : typeof self !== 'undefined' ? self : this, function () {
var module = { exports: {} };
(function (module, exports, define) {
/* CLIENT */
})(module, module.exports);
/* REPEAT */
return doitRepeat(module.exports);
});
