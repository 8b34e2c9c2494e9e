// A statement as it may leave the database: what was asked, without the values that were asked for. Literals are the customers' data, in utility statements passwords.

// In the order in which PostgreSQL's own scanner would take them. A text that was cut may end inside any of them, hence the `|$`. Where it is in doubt how one
// ends, all that follows goes with it: a comment in a comment, and a quote after a backslash in a plain string, which a server that has
// standard_conforming_strings off reads otherwise.
const token = new RegExp(
  [
    String.raw`(?<comment>--[^\n]*|/\*(?:(?!/\*|\*/)[\s\S])*\*/|/\*[\s\S]*$)`,
    String.raw`(?<text>[eE]'(?:[^'\\]|\\[\s\S]|'')*(?:'|$)|(?:[uU]&|[bBxXnN])?'(?:(?:[^'\\]|\\(?!')|'')*(?:'(?!')|$)|[\s\S]*$)|\$(?<tag>[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$[\s\S]*?(?:\$\k<tag>\$|$))`,
    String.raw`(?<kept>(?:[uU]&)?"(?:[^"]|"")*"?|\$\d+|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)`,
    String.raw`(?<number>(?:\d[\w.]*|\.\d[\w]*)(?:(?<=[eE])[+-]\d+)?)`,
    String.raw`(?<space>\s+)`,
  ].join('|'),
  'g',
)

/** The statement with `?` for every literal, without comments, on one line; at most `room` characters, the last one `…` when it was cut. */
export function withoutLiterals(statement: string, room: number): string {
  const text = statement
    .replace(token, (whole, ...rest) => {
      const { comment, text: literal, number, space } = rest.at(-1) as Record<string, string | undefined>
      if (comment !== undefined || space !== undefined) return ' '
      return literal !== undefined || number !== undefined ? '?' : whole
    })
    .replace(/ {2,}/g, ' ')
    .trim()
  return text.length > room ? `${text.slice(0, room - 1)}…` : text
}

/** How many parameters it has, by the highest `$n`; 0 for none. Numbers in literals and comments are none. */
export const parameters = (statement: string): number =>
  Math.max(0, ...[...statement.matchAll(token)].map(({ groups }) => Number(/^\$(\d+)$/.exec(groups?.['kept'] ?? '')?.[1] ?? 0)))
