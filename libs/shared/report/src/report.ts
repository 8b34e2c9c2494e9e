// What a report says, whatever it is written as: figures, findings, and sections with bars and tables. All texts are in one language already.
export const languages = ['en', 'ko'] as const
export type Language = (typeof languages)[number]

export interface Report {
  language: Language
  title: string
  /** Of which target, when, by which run. */
  subtitle: string
  figures: { label: string; value: string }[]
  findings: { title: string; none: string; all: { level: string; what: string; hint: string | null }[] }
  sections: Section[]
}

export interface Section {
  title: string
  note?: string
  bars?: { label: string; value: number; shown: string }[]
  table?: Table
}

export interface Table {
  head: string[]
  /** Columns that hold numbers stand to the right. */
  numbers: number[]
  rows: string[][]
}

/** A run as a report is made of it. */
export interface Source {
  task: string
  target: string | null
  run: string
  at: Date
  result: Record<string, unknown>
  /** That stand now. */
  findings: { level: string; what: string; hint: string | null }[]
}
