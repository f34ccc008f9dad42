// Pages in Chromium that stay while the gateways are restarted: TestClusterRollingBrowsers holds them open through this
// program, with the balancer's address in DOIT_URL and how many of each kind it wants in DOIT_PAGES. Each line on stdin
// is answered with one on stdout: all pages, and what each has seen so far, as JSON. At the end of stdin it ends.
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { launch, Site } from './harness.mjs';

const url = process.env.DOIT_URL;
const ofEach = Number(process.env.DOIT_PAGES);

const old = '/1.0.6.js'; // the client of the page of 2014
const served = `${url}/socket.io/socket.io.js`;
const once = (id) => `socket.emit("register", {userid: "${id}"});`;
const onConnect = (id) => `socket.on("connect", function () { socket.emit("register", {userid: "${id}"}); });`;
const kinds = [
  { kind: 'the page of 2014', script: old, register: once, deaf: true }, // it has no id after a reconnect
  { kind: '1.0.6, registers when it connects', script: old, register: onConnect, deaf: false },
  { kind: 'the page of README.md', script: served, register: onConnect, deaf: false },
  { kind: 'the page of 2014, the script of this server', script: served, register: once, deaf: false },
];

/** A page as its author wrote it, and behind that the test's ears. */
const html = (script, code) => `<!doctype html><meta charset="utf-8"><script src="${script}"></script>
<script>
  var socket = io("${url}");
  ${code}
  socket.on("n", function (n) { seen.heard.push(n); });
</script>
<script>
  var seen = {connects: 0, reconnects: 0, losses: [], heard: []};
  socket.on("connect", function () { seen.connects++; });
  socket.on("disconnect", function (reason) { seen.losses.push(reason); });
  socket.io.on("reconnect", function () { seen.reconnects++; });
</script>`;

const [site, browser] = await Promise.all([Site.start(), launch()]);
site.pages.set(old, readFileSync(new URL('.clients/1.0.6.js', import.meta.url), 'utf8'));

const pages = [];
for (const [k, { kind, script, register, deaf }] of kinds.entries()) {
  for (let i = 0; i < ofEach; i++) {
    const id = `browser-${k}-${i}`;
    site.pages.set(`/${id}.php`, html(script, register(id)));
    // A context each, as if each were another visitor's browser: those of one share six connections.
    const page = await (await browser.newContext()).newPage();
    await page.goto(`${site.url}/${id}.php`);
    pages.push({ kind, id, deaf, page });
  }
}
for await (const _ of createInterface({ input: process.stdin })) {
  const states = pages.map(async ({ page, ...what }) => ({
    ...what,
    ...await page.evaluate(() => ({ ...seen, connected: socket.connected, transport: socket.io.engine.transport.name })),
  }));
  console.log(JSON.stringify(await Promise.all(states)));
}
await browser.close();
site.stop();
