/**
 * Keeps the page's own files, so that it opens where nothing answers; what it shows then is the copy in the database. The files
 * of one build belong together: they are kept when the build is first seen, and go with the last tab that shows them.
 */
/* global FILES, BUILD: put in by bundle.ts, the paths of the files and what tells this build from others. */

/** Where the list is may change with each start of the program: what it says counts, if it says something. */
const WHERE = '/where.json'

self.addEventListener('install', (event) => event.waitUntil(keepAll()))
self.addEventListener('activate', (event) => event.waitUntil(dropOthers()))
self.addEventListener('fetch', (event) => {
  const { method, url } = event.request
  const { origin, pathname } = new URL(url)
  if (method !== 'GET' || origin !== self.location.origin) return
  if (pathname === WHERE) event.respondWith(newest())
  else if (FILES.includes(pathname)) event.respondWith(kept(pathname))
})

async function keepAll() {
  const cache = await caches.open(BUILD)
  await cache.addAll([...FILES, WHERE])
}

async function dropOthers() {
  for (const name of await caches.keys()) if (name !== BUILD) await caches.delete(name)
}

/** @param {string} path */
async function kept(path) {
  return (await caches.match(path, { cacheName: BUILD })) ?? fetch(path)
}

async function newest() {
  const cache = await caches.open(BUILD)
  try {
    const response = await fetch(WHERE)
    if (response.ok) await cache.put(WHERE, response.clone())
    return response
  } catch (error) {
    const last = await cache.match(WHERE)
    if (last) return last
    throw error
  }
}
