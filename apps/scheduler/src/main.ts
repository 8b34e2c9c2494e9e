// The scheduler: every way a run is born, and the loops that keep the promises. Any number of replicas may run.
import { startService } from '@dbops/runtime/service'
import { watchingPlans } from './approvals.ts'
import { takeCommands } from './commands.ts'
import { dispatching } from './dispatch.ts'
import { showingFreshness } from './freshness.ts'
import { planning } from './plan.ts'
import { publishing } from './publish.ts'
import { reaping } from './reap.ts'
import { takeSignedCommands } from './signed-commands.ts'
import { sweeping } from './sweep.ts'
import { ticking } from './tick.ts'
import { triggering } from './triggers.ts'
import { trimming } from './trim.ts'
import { watching } from './watch.ts'

await startService('scheduler', async service => {
  await planning(service)
  ticking(service)
  triggering(service)
  takeCommands(service)
  takeSignedCommands(service)
  watchingPlans(service)
  dispatching(service)
  reaping(service)
  publishing(service)
  trimming(service)
  sweeping(service)
  watching(service)
  showingFreshness(service)
})
