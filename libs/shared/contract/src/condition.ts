// Whether a text can be one condition in a WHERE: nothing in it may end the condition early, hide its end or look elsewhere. What it means only a server knows.

const plain = "write a condition over the table's own columns, such as status = 'PUBLISHED'"
const fault = (found: string, hint = plain) => ({ found, hint })
type Fault = ReturnType<typeof fault>

/** What is wrong with it, as `{ found, hint }`; undefined when it is good. Strings and quoted names may contain anything. */
export function conditionFault(where: string): Fault | undefined {
  const bare = outsideQuotes(where)
  if (typeof bare !== 'string') return bare
  if (!where.trim()) return fault('is empty: it would be true of every row')
  if (bare.includes(';')) return fault('has a semicolon: it is one condition, not several statements')
  if (/--|\/\*/.test(bare)) return fault('has a comment, which could hide the end of the condition')
  if (bare.includes('$'))
    return fault('has a $: neither parameters nor strings in dollars are read here', 'write the value in single quotes')
  if (/\b(select|values|table)\b/i.test(bare))
    return fault('has a subquery', "which rows may go must be plain from the table's own columns")
  let open = 0
  for (const sign of bare) {
    if (sign === '(') open++
    if (sign === ')' && --open < 0) break
  }
  return open ? fault('has parentheses that do not belong together') : undefined
}

/** The text with strings and quoted names blanked out, or what is wrong with one of them. */
function outsideQuotes(where: string): string | Fault {
  let bare = ''
  for (let at = 0; at < where.length; at++) {
    const quote = where[at]!
    if (quote !== "'" && quote !== '"') {
      bare += quote
      continue
    }
    const escapes = quote === "'" && /(^|[^\w$])e$/i.test(where.slice(0, at))
    for (at++; at < where.length; at++) {
      if (where[at] === '\\' && quote === "'") {
        // What it means in a plain string is a setting of the server (standard_conforming_strings).
        if (!escapes) return fault('has a backslash in a plain string', "write E'…' with two of them")
        at++
      } else if (where[at] === quote && where[at + 1] === quote) at++
      else if (where[at] === quote) break
    }
    if (at >= where.length) return fault(`has a ${quote} that nothing closes`)
    bare += ' '
  }
  return bare
}
