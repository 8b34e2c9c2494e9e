// One line of a page: coloured parts, cut where the paper ends.
import { type Colour, cut, width } from '../print.ts'

export interface Paper {
  width: number
  height: number
  colour: (name: Colour, text: string) => string
}

export type Part = string | [text: string, colour: Colour | undefined]
/** Makes one line of its parts. */
export type Line = ((...parts: Part[]) => string) & { width: number }

export const lineOn = ({ width: room, colour }: Paper): Line =>
  Object.assign(
    (...parts: Part[]) => {
      let left = room
      let text = ''
      for (const part of parts) {
        if (left <= 0) break
        const [words, name] = typeof part === 'string' ? [part, undefined] : part
        // What comes from a database may hold line breaks and worse.
        const shown = cut(words.replaceAll(/[\p{Cc}\p{Cf}]+/gu, ' '), left)
        left -= width(shown)
        text += name && shown.trim() ? colour(name, shown) : shown
      }
      return text
    },
    { width: room },
  )
