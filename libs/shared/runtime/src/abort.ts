// An AbortController that follows another signal and can let go of it, so that a long-lived signal does not collect one listener per attempt.
export class Abort {
  readonly controller = new AbortController()
  readonly release: () => void

  private constructor(parent: AbortSignal) {
    const follow = () => this.controller.abort(parent.reason)
    parent.addEventListener('abort', follow, { once: true })
    this.release = () => parent.removeEventListener('abort', follow)
    if (parent.aborted) follow()
  }

  static with(parent: AbortSignal): Abort {
    return new Abort(parent)
  }
}
