import { build } from 'esbuild'

/** One of this folder's pages as a document without anything to load, as a bundler makes it for production. */
export async function bundle(page: 'react' | 'sdk'): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [new URL(`${page}.tsx`, import.meta.url).pathname],
    bundle: true,
    write: false,
    format: 'esm',
    target: 'es2024',
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"production"' },
  })
  const script = outputFiles[0]?.text.replaceAll('</script', '<\\/script') ?? ''
  return `<!doctype html><meta charset="utf-8"><title>Chat</title><body><script type="module">${script}</script>`
}
