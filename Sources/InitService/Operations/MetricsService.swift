public import HTTPExchange
public import HTTPTypes

/// What is served on a port of its own, for those who run the service: metrics and probes, without tokens.
public struct MetricsService: RequestHandler {
    private let service: InitService

    public init(of service: InitService) {
        self.service = service
    }

    public func respond(to request: IncomingRequest) -> Reply {
        service.respond(to: request, at: .metricsPort)
    }

    public func refuse(_ refusal: Refusal, head: HTTPRequest) -> OutgoingResponse {
        service.refuse(refusal, head: head)
    }
}
