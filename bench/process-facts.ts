// What the kernel says of a process: its memory and its time on a processor. Linux only, as are our containers.
import { readFileSync, writeFileSync } from 'node:fs'

const ticksPerSecond = 100

/** Seconds of processor time of a process and of its children that have ended: of a PostgreSQL server, what its sessions cost once they are over. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // After the name in brackets: state is field 3; 14 to 17 are utime, stime and those of the children.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return [11, 12, 13, 14].reduce((sum, at) => sum + Number(fields[at]), 0) / ticksPerSecond
}

const kilobytes = (pid: number, name: string) =>
  Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? Number.NaN)

/** Resident memory now, MB (of 2^20 bytes). */
export const rss = (pid: number): number => kilobytes(pid, 'VmRSS') / 1024
/** Its highest point since `forgetPeak`, or since the start. */
export const peakRss = (pid: number): number => kilobytes(pid, 'VmHWM') / 1024
export const forgetPeak = (pid: number): void => writeFileSync(`/proc/${pid}/clear_refs`, '5')
