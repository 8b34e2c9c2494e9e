// The disk of a server that runs on this very machine. That it does is proven by the file in which it wrote down its start: a tunnel leads to another machine's server under the same address.
import { readFile, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { Statements } from '../task.ts'

export interface Disk {
  totalBytes: number
  usedBytes: number
  /** As `df` says it: of what may be used at all. */
  percent: number
}

// Hidden from roles that may not read it, which then have no row.
const whereItLies = `
  SELECT setting AS folder, current_setting('port') AS port, extract(epoch FROM pg_postmaster_start_time())::float8 AS started
    FROM pg_settings
   WHERE name = 'data_directory'`
/** A server writes its file first and takes its time of start then, in seconds. */
const between = 60

/** Null where the server is elsewhere, or does not tell where its files lie, or they may not be read. */
export async function localDisk(pg: Statements): Promise<Disk | null> {
  const [server] = await pg.query<{ folder: string; port: string; started: number }>(whereItLies)
  if (!server) return null
  try {
    // Its lines: pid, folder, start (s since 1970), port.
    const [, folder, started, port] = (await readFile(join(server.folder, 'postmaster.pid'), 'utf8')).split('\n')
    if (folder !== server.folder || port !== server.port || !(Math.abs(server.started - Number(started)) < between)) return null
    const { bsize, blocks, bfree, bavail } = await statfs(server.folder)
    const used = blocks - bfree
    return { totalBytes: blocks * bsize, usedBytes: used * bsize, percent: Math.round((used / (used + bavail)) * 1_000) / 10 }
  } catch {
    return null
  }
}
