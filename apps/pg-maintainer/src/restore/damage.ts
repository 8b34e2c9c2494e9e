// Damages an index on disk as a bad disk would: two of its entries change places. Counts and scans notice nothing.
import { open } from 'node:fs/promises'

const pageSize = 8192
const pageHeader = 24
const itemId = 4

/** Of the first leaf page of a B-tree, which is its second page. False where it has too few entries to be out of order. */
export async function swapEntries(file: string): Promise<boolean> {
  const handle = await open(file, 'r+')
  try {
    const page = Buffer.alloc(pageSize)
    const { bytesRead } = await handle.read(page, 0, pageSize, pageSize)
    // pd_lower: where the list of entries ends.
    const entries = bytesRead === pageSize ? (page.readUInt16LE(12) - pageHeader) / itemId : 0
    // The first may be the page's high key, which is no entry.
    if (entries < 4) return false
    const [second, last] = [pageHeader + itemId, pageHeader + (entries - 1) * itemId]
    const kept = page.readUInt32LE(second)
    page.writeUInt32LE(page.readUInt32LE(last), second)
    page.writeUInt32LE(kept, last)
    await handle.write(page, 0, pageSize, pageSize)
    await handle.sync()
    return true
  } finally {
    await handle.close()
  }
}
