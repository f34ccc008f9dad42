// Runs the parsers inside published socket.io-client bundles and prints
// client-payloads.json: what each sends, byte for byte, and what each reads.
//
//	node client-payloads.mjs DIRECTORY > client-payloads.json
//
// DIRECTORY/<version> is the unpacked npm package of that version.
import fs from 'node:fs'
import vm from 'node:vm'

const dir = process.argv[2]
const text = '2["register",{"userid":"вася-ß-😀"}]'
const base64 = s => Buffer.from(s).toString('base64')

// parserOf finds engine.io-parser among the modules of a bundle.
function parserOf(version) {
  const file = ['socket.io.js', 'dist/socket.io.dev.js', 'dist/socket.io.js'].map(f => `${dir}/${version}/${f}`).find(f => fs.existsSync(f))
  const page = { console, ArrayBuffer, Uint8Array, setTimeout, clearTimeout, navigator: { userAgent: '' }, document: {}, location: {} }
  page.window = page.self = page.global = page
  vm.runInNewContext(fs.readFileSync(file, 'utf8')
    .replace('function e(t,n,r){', 'function e(t,n,r){self.browserify=t;')
    .replace('var installedModules = {};', 'var installedModules = {}; self.webpack=installedModules;'), page)
  if (page.webpack) return Object.values(page.webpack).map(m => m.exports).find(m => m && m.encodePayloadAsArrayBuffer)
  const made = {}
  const load = id => {
    if (!made[id]) {
      made[id] = { exports: {} }
      page.browserify[id][0].call(made[id].exports, name => load(page.browserify[id][1][name]), made[id], made[id].exports)
    }
    return made[id].exports
  }
  const id = Object.values(page.browserify).map(m => m[1]['engine.io-parser']).find(Boolean)
  return load(id)
}

const out = []
for (const version of ['1.0.6', '1.1.0', '1.2.1', '1.3.7', '1.4.8', '1.7.4', '2.5.0']) {
  const parser = parserOf(version)
  const sends = {}
  const packets = [{ type: 'message', data: text }, { type: 'message', data: 'é' }]
  parser.encodePayload(packets, false, data => { sends.plain = base64(data) })
  parser.encodePayloadAsArrayBuffer(packets, data => { sends.binary = base64(Buffer.from(data)) })
  parser.encodePacket(packets[0], true, data => { sends.websocket = base64(data) })

  // What our server answers to a poll for "hello" and a text of 120 characters.
  const long = 'x'.repeat(120)
  const binary = Buffer.concat([Buffer.from([0, 6, 0xff]), Buffer.from('4hello'), Buffer.from([0, 1, 2, 1, 0xff]), Buffer.from('4' + long)])
  const reads = {}
  const read = (name, wire) => {
    reads[name] = []
    parser.decodePayload(wire, 'arraybuffer', packet => { reads[name].push(packet.type, packet.data) })
  }
  read('plain', `6:4hello121:4${long}`)
  read('binary', binary.buffer.slice(binary.byteOffset, binary.byteOffset + binary.length))
  out.push({ client: version, eio: parser.protocol, sends, reads })
}
await new Promise(done => setTimeout(done, 100))
console.log(JSON.stringify(out, null, '\t'))
