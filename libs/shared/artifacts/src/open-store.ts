// Opens a store that the configuration names; the scheme of its URL decides which kind it is.
import type { Store as StoreConfig } from '@dbops/contract/config-file'
import { parseSize } from '@dbops/contract/duration'
import { Problem } from '@dbops/contract/failure'
import { openFileStore } from './file-store.ts'
import type { Store } from './store.ts'

const kinds: Record<string, (name: string, url: URL, reserve: number) => Promise<Store>> = { 'file:': openFileStore }

/** Throws a Problem: `store_url_invalid`, `store_scheme_unknown`, or `store_unavailable` when it cannot be used as it stands. */
export async function openStore(name: string, { url, free }: StoreConfig): Promise<Store> {
  const parsed = URL.parse(url)
  if (!parsed)
    throw new Problem(`store "${name}": "${url}" is no URL`, {
      code: 'store_url_invalid',
      hint: 'write file:///absolute/folder',
    })
  const open = kinds[parsed.protocol]
  if (!open)
    throw new Problem(`store "${name}": there is no kind of store for ${parsed.protocol}//`, {
      code: 'store_scheme_unknown',
      hint: `built: ${Object.keys(kinds)
        .map(kind => `${kind}//`)
        .join(', ')}; write file:///absolute/folder`,
    })
  return open(name, parsed, parseSize(free))
}
