// /emit with nothing between it and Node: the least that it can cost.
const http = require('node:http');
const querystring = require('node:querystring');

const headers = {
  OK: { 'Content-Type': 'text/plain', 'Content-Length': 2 },
  ERROR: { 'Content-Type': 'text/plain', 'Content-Length': 5 },
};

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
    const answer = emit({ id: form.id ?? form['id[]'], message: form.message, data: form.data });
    res.writeHead(200, headers[answer]);
    res.end(answer);
  });
});
server.keepAliveTimeout = 600_000;
const emit = require('./sockets.js')(server);
server.listen(Number(process.argv[2]), '127.0.0.1');
