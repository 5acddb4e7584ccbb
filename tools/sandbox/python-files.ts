/** What is used of Emscripten's `FS`. */
export interface GuestFiles {
  root: Node
  /** By descriptor. */
  streams: (Stream | null | undefined)[]
  filesystems: {
    MEMFS: {
      ops_table: { file: { node: NodeOps; stream: StreamOps } }
      createNode(parent: Node, name: string, mode: number, device: number): Node
    }
  }
  ErrnoError: new (errno: number) => Error
  isDir(mode: number): boolean
  chdir(path: string): void
  close(stream: Stream): void
  destroyNode(node: Node): void
  lookupPath(path: string): { node: Node }
  makedev(major: number, minor: number): number
  mkdev(path: string, mode: number, device: number): void
  registerDevice(device: number, ops: Pick<StreamOps, 'read' | 'write'>): void
}

interface Node {
  mode: number
  name: string
  /** A file's bytes, or a directory's entries. */
  contents?: object
  node_ops: NodeOps
  usedBytes?: number
}

interface NodeOps {
  setattr(node: Node, change: { size?: number }): void
}

interface Stream {
  fd: number | null
  node: Node
}

/** What a stream's `read` and `write` get: where in the interpreter's memory, how many bytes, from where in the file. */
type Transfer = (stream: Stream, memory: Int8Array, at: number, length: number, position: number) => number

export interface StreamOps {
  read: Transfer
  write: Transfer
}

const EPERM = 63
const ENOSPC = 51
const WRITABLE = 0o222

/**
 * Leaves the guest `directories` to write in, up to a number of bytes in each run, because files are outside of the
 * interpreter's capped memory. Everything else, the standard library above all, can then only be read.
 */
export function confine(fs: GuestFiles, directories: string[], maxBytes: number) {
  const kept = new Set(directories.map((path) => fs.lookupPath(path).node))
  let used = 0

  function freeze(node: Node): void {
    if (kept.has(node)) return
    node.mode &= ~WRITABLE
    node.node_ops = { ...node.node_ops, setattr: refuse }
    entriesOf(node).forEach(freeze)
  }

  function refuse(): never {
    throw new fs.ErrnoError(EPERM)
  }

  function take(bytes: number): void {
    used += Math.max(0, bytes)
    if (used > maxBytes) throw new fs.ErrnoError(ENOSPC)
  }

  const { MEMFS } = fs.filesystems
  const { createNode } = MEMFS
  MEMFS.createNode = (...args) => {
    const made = createNode(...args)
    if (fs.isDir(made.mode)) made.contents = newDirectory()
    return made
  }
  const { node, stream } = MEMFS.ops_table.file
  const { setattr } = node
  const { write } = stream
  node.setattr = (file, change) => {
    take((change.size ?? 0) - (file.usedBytes ?? 0))
    setattr(file, change)
  }
  stream.write = (open, memory, at, length, position) => {
    take(position + length - (open.node.usedBytes ?? 0))
    return write(open, memory, at, length, position)
  }
  // What is open in a frozen file, if anything, is open for reading.
  freeze(fs.root)
  kept.forEach(empty)
  const open = [...fs.streams]

  /** As it was when it was confined. */
  return function reset(): void {
    fs.streams.forEach((stream, fd) => {
      if (stream != null && stream !== open[fd]) fs.close(stream)
    })
    // Also what the guest has closed.
    open.forEach((stream, fd) => (fs.streams[fd] = stream && Object.assign(stream, { fd })))
    for (const directory of kept) empty(directory)
    fs.chdir(directories[0] ?? '/')
    used = 0
  }

  function empty(directory: Node): void {
    for (const node of entriesOf(directory)) {
      empty(node)
      fs.destroyNode(node)
    }
    directory.contents = newDirectory()
  }

  function entriesOf(node: Node): Node[] {
    return fs.isDir(node.mode) ? (Object.values(node.contents ?? {}) as Node[]) : []
  }
}

/** A guest may call a file __proto__. */
function newDirectory(): object {
  return Object.create(null) as object
}
