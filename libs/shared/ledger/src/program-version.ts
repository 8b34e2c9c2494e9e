// The version of every program in this repository; a file of its own, since the first page of the command line needs no more than this.

/** Of the programs in this repository; compared with what each migration in the ledger serves. */
export const programVersion = '0.1.0'
