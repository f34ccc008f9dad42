// What the test files need: the server under test, a site beside it, one Chromium, PHP's way to emit, waiting.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { chromium } from 'playwright-core';

/** Tries until `probe` gives something true or the deadline is over; `probe` may throw, its last error is told. */
export async function until(what, probe, seconds = 10) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    let last;
    try {
      const got = await probe();
      if (got) return got;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`not within ${seconds} s: ${what}${last ? ` (${last.message})` : ''}`);
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
}

export async function freePort() {
  const listener = net.createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address();
  listener.close();
  await once(listener, 'close');
  return port;
}

/** The binary named by DOIT_EMBEDDED, on a port of its own that it keeps through restarts. `flags` are more flags. */
export class Embedded {
  static async start(...flags) {
    const server = new Embedded();
    server.flags = flags;
    server.binary = process.env.DOIT_EMBEDDED;
    if (!server.binary) throw new Error('DOIT_EMBEDDED is not set: go build -o X ./embedded, then DOIT_EMBEDDED=X npm test');
    server.port = await freePort();
    server.url = `http://127.0.0.1:${server.port}`;
    await server.spawn();
    return server;
  }

  async spawn() {
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => name !== 'PORT' && !name.startsWith('DOIT_')));
    const child = spawn(this.binary, ['--listen', `127.0.0.1:${this.port}`, '--admin-listen', '127.0.0.1:0', ...this.flags], { env });
    this.child = child;
    this.log = '';
    let failed = '';
    child.on('error', (error) => { failed = error.message; });
    child.on('exit', (code, signal) => { failed = `it ended with ${signal ?? code}`; });
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => { this.log += text; });
    await until(`${this.binary} says ${this.url}`, () => failed || this.log.includes(this.url));
    if (failed) throw new Error(`${this.binary} did not start: ${failed}\n${this.log}`);
  }

  /** At once, as a crash does it: no page is told. */
  async kill() {
    const gone = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await gone;
  }

  /** POST /emit with the fields as PHP's http_build_query makes them; answers the body. `id` may be a list. */
  async emit(id, message, data) {
    const body = new URLSearchParams();
    if (Array.isArray(id)) id.forEach((one, i) => body.append(`id[${i}]`, one));
    else body.append('id', id);
    body.append('message', message);
    body.append('data', data);
    const response = await fetch(`${this.url}/emit`, { method: 'POST', body });
    return response.text();
  }

  /** As a PHP page does that raises its event until somebody is there. */
  async emitUntilOK(id, message, data) {
    await until(`OK for ${id}`, async () => (await this.emit(id, message, data)) === 'OK');
  }
}

/** What PHP's json_encode makes of it: ASCII, and slashes escaped. */
export function phpJSON(value) {
  return JSON.stringify(value)
    .replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .replaceAll('/', '\\/');
}

const types = { '.js': 'text/javascript', '.mjs': 'text/javascript', '.css': 'text/css' };

/** A PHP site's web server: another host than the push server's, pages by path: their text, or {body, headers}. */
export class Site {
  pages = new Map();

  static async start() {
    const site = new Site();
    site.server = http.createServer((request, response) => {
      const { pathname } = new URL(request.url, 'http://site');
      const page = site.pages.get(pathname);
      if (page === undefined) return response.writeHead(pathname === '/favicon.ico' ? 204 : 404).end();
      response.setHeader('Content-Type', types[/\.\w+$/.exec(pathname)] ?? 'text/html; charset=utf-8');
      for (const [name, value] of Object.entries(page.headers ?? {})) response.setHeader(name, value);
      return response.end(page.body ?? page);
    });
    site.server.listen(0, '127.0.0.1');
    await once(site.server, 'listening');
    site.url = `http://shop.localhost:${site.server.address().port}`;
    return site;
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

/** A proxy that has the server below a prefix, and takes the prefix off, as `proxy_pass http://server/;` of nginx does. */
export class Prefix {
  static async start(server, prefix) {
    const proxy = new Prefix();
    const to = (request) => ({
      host: '127.0.0.1', port: server.port, method: request.method, headers: request.headers,
      path: request.url.slice(prefix.length).replace(/^(?!\/)/, '/'),
    });
    const outside = (request) => !`${request.url}/`.startsWith(`${prefix}/`) && !request.url.startsWith(`${prefix}?`);
    proxy.server = http.createServer((request, response) => {
      if (outside(request)) return response.writeHead(404).end('no such page\n');
      const forward = http.request(to(request), (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
      });
      forward.on('error', () => response.destroy());
      response.on('close', () => forward.destroy());
      return request.pipe(forward);
    });
    proxy.server.on('upgrade', (request, socket) => {
      if (outside(request)) return socket.destroy();
      const forward = http.request(to(request));
      forward.on('upgrade', (answer, peer) => {
        socket.write(`HTTP/1.1 101 Switching Protocols\r\n${Object.entries(answer.headers).map(([k, v]) => `${k}: ${v}\r\n`).join('')}\r\n`);
        socket.pipe(peer).pipe(socket);
        for (const end of [socket, peer]) end.on('error', () => { socket.destroy(); peer.destroy(); });
      });
      forward.on('error', () => socket.destroy());
      return forward.end();
    });
    proxy.server.listen(0, '127.0.0.1');
    await once(proxy.server, 'listening');
    proxy.url = `http://127.0.0.1:${proxy.server.address().port}${prefix}`;
    return proxy;
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}

/** `flags` are more flags for Chromium. */
export function launch(...flags) {
  return chromium.launch({
    executablePath: '/usr/bin/chromium',
    ignoreDefaultArgs: ['--disable-back-forward-cache'], // a visitor's has it
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', ...flags],
  });
}

/**
 * Opens a page in a context of its own, runs `test` with it and closes it. `seen` collects what the page asked of `server` and
 * what it complained of, and is told when the test fails.
 */
export async function withPage(browser, server, options, test) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  const seen = { requests: [], errors: [] };
  const asked = (url) => { if (new URL(url).host === new URL(server.url).host) seen.requests.push(url); };
  page.on('request', (request) => asked(request.url()));
  page.on('websocket', (socket) => asked(socket.url()));
  page.on('pageerror', (error) => seen.errors.push(error.message));
  page.on('console', (message) => { if (message.type() === 'error') seen.errors.push(`${message.text()} ${message.location().url}`); });
  try {
    await test(page, seen);
  } catch (error) {
    const tail = (list) => [...list.slice(0, 8), ...(list.length > 8 ? [`... ${list.length} in all`] : [])].map((line) => `\n    ${line}`).join('');
    throw new Error(`${error.message}\n  errors in the page:${tail(seen.errors) || ' none'}\n  requests to the server:${tail(seen.requests) || ' none'}`
      + `\n  the server's last words:\n${server.log.slice(-1500)}`, { cause: error });
  } finally {
    await context.close();
  }
}
