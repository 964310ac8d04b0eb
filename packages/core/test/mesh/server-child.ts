/**
 * A server in a process of its own, for tests that kill it and look into it: `server-child.mjs FOLDER PORT`. Says its
 * URL and its key; ends when its stdin does.
 */
import process from 'node:process'
import { serve } from '../../src/node/serve.ts'

const [data, port] = process.argv.slice(2) as [string, string]
const server = await serve({ listen: `ws://127.0.0.1:${port}/db`, data })
process.stdout.write(`${server.url} ${server.publicKey}\n`)
process.stdin.on('end', () => void server.close())
process.stdin.resume()
