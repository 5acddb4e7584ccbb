import { readFileSync } from 'node:fs'
import type { Context, Hono } from 'hono'

const CONSOLE = new URL('../../console/', import.meta.url)

/** Nothing from elsewhere is loaded, and no other page may put these into a frame, where a click could be stolen. */
const HEADERS = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'no-cache',
}

const TYPES: Record<string, string> = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
}

/** By name, so that a request can ask for nothing else. All but the two pages are served below /console. */
const FILES = [
  'index.html',
  'docs.html',
  'style.css',
  'approvals.css',
  'docs.css',
  'link.css',
  'approvals.js',
  'api.js',
  'call.js',
  'decision.js',
  'detail.js',
  'edit.js',
  'element.js',
  'key.js',
  'list.js',
  'outcome.js',
  'preview.js',
  'remark.js',
  'route.js',
  'standing.js',
  'when.js',
  'docs.js',
  'curl.js',
  'schema-text.js',
]

const PAGES: Record<string, string> = { 'index.html': '/console', 'docs.html': '/docs' }

/** The pages for people, and the description of the rest for programs. */
export function mountPages(app: Hono, openApi: Record<string, unknown>): void {
  for (const file of FILES) {
    const type = TYPES[file.split('.').at(-1) ?? ''] ?? 'application/octet-stream'
    let text: string | undefined
    app.get(PAGES[file] ?? `/console/${file}`, (c: Context) => {
      text ??= readFileSync(new URL(file, CONSOLE), 'utf8')
      return c.body(text, 200, { ...HEADERS, 'Content-Type': type })
    })
  }
  app.get('/', (c) => c.redirect('/console'))
  app.get('/openapi.json', (c) => c.json(openApi))
}
