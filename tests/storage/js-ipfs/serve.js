// An IPFS node of its own, with no peers, whose HTTP API listens on a free port of the loopback; prints the URL.
// node serve.js REPOSITORY

import { create } from 'ipfs-core'
import { HttpApi } from 'ipfs-http-server'

const node = await create({
  repo: process.argv[2],
  silent: true,
  // Not started: no connections, and a block that is not there is missing at once.
  start: false,
  preload: { enabled: false },
  config: {
    Bootstrap: [],
    Addresses: { Swarm: [], API: '/ip4/127.0.0.1/tcp/0', Gateway: '' },
    Discovery: { MDNS: { Enabled: false }, webRTCStar: { Enabled: false } }
  }
})
const api = new HttpApi(node)
await api.start()
console.log(api._apiServers[0].info.uri)

// It ends with whoever started it, even if that one is killed.
process.stdin.resume()
process.stdin.on('end', () => process.exit(0))
