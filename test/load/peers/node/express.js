// /emit as the predecessor had it: Express 4 and its parser of forms.
const http = require('node:http');
const express = require('express');

const app = express();
app.disable('x-powered-by');
app.disable('etag');
app.use(express.urlencoded({ extended: true, limit: '50mb' }));
app.post('/emit', (req, res) => { res.send(emit(req.body)); });

const server = http.createServer(app);
server.keepAliveTimeout = 600_000;
const emit = require('./sockets.js')(server);
server.listen(Number(process.argv[2]), '127.0.0.1');
