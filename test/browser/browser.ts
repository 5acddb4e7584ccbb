import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, inject } from 'vitest'

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Shorter than a test's time, so that what fails names the step. */
const STEP_MS = 15_000

/** Null where there is no browser; with `CI=true` it never is. */
export const chromiumPath = inject('services').chromium

export interface Tab {
  page: Page
  /** What the page's scripts threw and what its policy blocked. Answers such as 409 are not among them. */
  faults: string[]
}

/**
 * Opens tabs, each with a profile of its own, in a browser that the tests of a describe share. They are closed after
 * each test: a page that is open goes on asking its server.
 */
export function useBrowser(
  ...flags: string[]
): (url: string, options?: BrowserContextOptions) => Promise<Tab> {
  let browser: Browser
  beforeAll(async () => {
    if (chromiumPath === null)
      throw new Error("No Chromium here: skip on inject('services').chromium === null.")
    browser = await chromium.launch({ executablePath: chromiumPath, args: [...FLAGS, ...flags] })
  })
  afterEach(async () => {
    await Promise.all(browser.contexts().map((context) => context.close()))
  })
  afterAll(async () => {
    await browser?.close()
  })
  return (url, options) => openTab(browser, url, options)
}

async function openTab(
  browser: Browser,
  url: string,
  options: BrowserContextOptions | undefined,
): Promise<Tab> {
  const context = await browser.newContext(options)
  const page = await context.newPage()
  page.setDefaultTimeout(STEP_MS)
  const faults: string[] = []
  page.on('pageerror', (error) => faults.push(error.message))
  page.on('console', (message) => {
    const expected = message.text().startsWith('Failed to load resource')
    if (message.type() === 'error' && !expected) faults.push(message.text())
  })
  await page.goto(url)
  return { page, faults }
}
