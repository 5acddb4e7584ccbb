/** A module's imports, as WebAssembly.instantiate() takes them. */
export type Imports = Record<string, Record<string, WebAssembly.ImportValue>>

/**
 * What the interpreter may call outside of WebAssembly once it is sealed: clocks, randomness, its memory, and a file
 * system that is in memory too (python-files.ts). Whoever updates Pyodide looks at each new name here.
 */
const OPEN = new Set(
  `fd_close fd_read fd_write fd_seek fd_sync fd_pread fd_pwrite fd_fdstat_get
  environ_sizes_get environ_get clock_res_get clock_time_get random_get
  __syscall_openat __syscall_dup __syscall_dup3 __syscall_fcntl64 _try_fcntl64
  __syscall_fstat64 __syscall_stat64 __syscall_lstat64 __syscall_newfstatat
  __syscall_getdents64 __syscall_getcwd __syscall_chdir __syscall_fchdir
  __syscall_mkdirat __syscall_rmdir __syscall_unlinkat __syscall_renameat
  __syscall_ftruncate64 __syscall_truncate64 __syscall_utimensat __syscall_faccessat
  __syscall_chmod __syscall_fchmod __syscall_fchmodat2 __syscall_readlinkat
  __syscall_statfs64 __syscall_fstatfs64 __syscall_fdatasync __syscall_fadvise64
  __syscall_umask_js __syscall_getuid32_js __syscall_ioctl _mmap_js _munmap_js _msync_js
  _tzset_js _localtime_js _gmtime_js _mktime_js _timegm_js
  emscripten_date_now emscripten_get_now emscripten_resize_heap emscripten_get_heap_max
  emscripten_runtime_keepalive_push emscripten_runtime_keepalive_pop
  _Py_CheckEmscriptenSignals_Helper _Py_emscripten_runtime _PyEM_TrampolineCall_JS
  _maybe_connect_async _maybe_recvfrom_async _maybe_sendto_async _maybe_poll_async
  _try_shutdown __syscall_poll can_run_sync_js`.split(/\s+/),
)

/** Emscripten's numbers of errors. */
const EPERM = -63
const ENOSYS = -52
const EAI_NONAME = -2

/** What ordinary code may try, and learns that it may not: all sockets, pipes, links and processes. */
function polite(name: string): number | undefined {
  if (name.startsWith('__syscall_')) return EPERM
  if (name === '_setitimer_js') return EPERM
  if (name === '_emscripten_system') return ENOSYS
  return name === 'getaddrinfo' || name === 'getnameinfo' ? EAI_NONAME : undefined
}

/**
 * Doors in the place of a module's imports, which close at `seal()`. Behind them is the whole of Pyodide's JavaScript:
 * `import js`, ctypes and dlopen end there. `refuse` must not return.
 */
export function sealable(imports: Imports, refuse: (name: string) => never) {
  let sealed = false

  function door(name: string, behind: WebAssembly.ImportValue): WebAssembly.ImportValue {
    if (typeof behind !== 'function' || OPEN.has(name)) return behind
    const open = behind as (...args: unknown[]) => unknown
    return (...args: unknown[]) => {
      if (!sealed) return open(...args)
      return polite(name) ?? refuse(name)
    }
  }

  const doors = Object.entries(imports).map(([module, functions]) => {
    if (module.startsWith('GOT.')) return [module, functions]
    return [module, Object.fromEntries(Object.entries(functions).map(([name, f]) => [name, door(name, f)]))]
  })
  return { imports: Object.fromEntries(doors) as Imports, seal: () => void (sealed = true) }
}
