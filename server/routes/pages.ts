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

const FILES = {
  '/console': ['index.html', 'text/html; charset=utf-8'],
  '/console/approvals.js': ['approvals.js', 'text/javascript; charset=utf-8'],
  '/console/style.css': ['style.css', 'text/css; charset=utf-8'],
  '/docs': ['docs.html', 'text/html; charset=utf-8'],
  '/docs/docs.js': ['docs.js', 'text/javascript; charset=utf-8'],
} as const

/** The pages for people, and the description of the rest for programs. */
export function mountPages(app: Hono, openApi: Record<string, unknown>): void {
  for (const [path, [file, type]] of Object.entries(FILES)) {
    let text: string | undefined
    app.get(path, (c: Context) => {
      text ??= readFileSync(new URL(file, CONSOLE), 'utf8')
      return c.body(text, 200, { ...HEADERS, 'Content-Type': type })
    })
  }
  app.get('/', (c) => c.redirect('/console'))
  app.get('/openapi.json', (c) => c.json(openApi))
}
