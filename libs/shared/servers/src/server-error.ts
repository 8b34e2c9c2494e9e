// The one error of this package: what could not be started, where, and what the operator can do about it.

/** `hint` is a full sentence, mostly the command to type. */
export class ServerError extends Error {
  override name = 'ServerError'
  readonly hint: string | undefined

  constructor(message: string, hint?: string, options?: ErrorOptions) {
    super(message, options)
    this.hint = hint
  }
}
