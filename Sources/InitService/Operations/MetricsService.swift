public import HTTPExchange

/// Metrics and probes on a port of their own, without tokens.
public struct MetricsService: RequestHandler {
    private let service: InitService

    public init(of service: InitService) {
        self.service = service
    }

    public func respond(to request: IncomingRequest) -> Reply {
        service.respond(to: request, at: .metricsPort)
    }

    public func refuse(_ refusal: Refusal, head: RequestHead) -> OutgoingResponse {
        service.refuse(refusal, head: head)
    }
}
