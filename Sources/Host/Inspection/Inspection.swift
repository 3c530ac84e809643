import ControlProtocol
import Reports
import System

/// What lets others look into a live mount: its status page, its control socket, its traces.
final class Inspection {
  private let configuration: HostConfiguration
  private let scheduler: Scheduler
  private let consoles: Consoles
  private let statistics: MountStatistics
  private let tracer: Tracer
  private let reporter: Reporter
  /// nil where it could not be opened, and while nothing is mounted.
  private var server: ControlServer?

  init(
    _ configuration: HostConfiguration, _ scheduler: Scheduler, _ filesystem: Filesystem,
    _ consoles: Consoles, _ tracer: Tracer, _ reporter: Reporter
  ) {
    self.configuration = configuration
    self.scheduler = scheduler
    self.consoles = consoles
    self.tracer = tracer
    self.reporter = reporter
    statistics = MountStatistics(configuration, scheduler, filesystem, tracer)
  }

  /// Starts the trace that the command line asked for.
  func startTrace() throws(HostError) {
    if let trace = configuration.trace { try tracer.start(trace, reporter) }
  }

  /// Lets clients come to a mount with a device number. It serves without them where that cannot be.
  func open(device: String?, mountPoint: String) {
    guard let device else { return }
    statistics.mountPoint = mountPoint
    do throws(HostError) {
      let server = try ControlServer(
        scheduler.waits, consoles, statistics, tracer, script: configuration.script, device: device)
      scheduler.publish(on: server.status.writer)
      self.server = server
    } catch {
      reporter.say("no console, trace or statistics from outside: \(error)")
    }
  }

  /// A client has come.
  func letIn() { server?.letIn() }

  /// Lets every client go.
  func close() {
    tracer.flush()
    scheduler.publish(on: StatusWriter())
    server?.close()
    server = nil
  }
}
