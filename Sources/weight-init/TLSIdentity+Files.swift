import ByteText
import HTTPDaemon

extension TLSIdentity {
    /// - Throws: `Failure` that names the file at fault, and its expected contents.
    init(certificateFile: String, keyFile: String) throws(Failure) {
        let certificate = try contents(of: certificateFile, for: "--tls-certificate")
        let key = try contents(of: keyFile, for: "--tls-key")
        do throws(DaemonError) {
            try self.init(
                certificate: String(decoding: certificate, as: UTF8.self),
                key: String(decoding: key, as: UTF8.self)
            )
        } catch {
            // The library's messages for these mistakes are about its internal structures.
            let mistakes = [
                PEMContent(certificate).mistake(for: .certificate).map {
                    "--tls-certificate: \(certificateFile) \($0)"
                },
                PEMContent(key).mistake(for: .key).map { "--tls-key: \(keyFile) \($0)" },
            ].compactMap { $0 }
            guard mistakes.isEmpty else { throw Failure(mistakes.joined(separator: "; ")) }
            throw Failure("--tls-certificate \(certificateFile), --tls-key \(keyFile): \(error)")
        }
    }
}

/// Contents of a PEM file, read from the first lines of its blocks.
private struct PEMContent {
    enum Part: String {
        case certificate = "a certificate"
        case key = "a private key"
    }

    private let parts: [Part]
    private let isEncrypted: Bool

    init(_ bytes: [UInt8]) {
        let lines = Text(decoding: bytes).split(separator: "\n").map { $0.removing(suffix: "\r") ?? $0 }
        let labels = lines.compactMap { $0.removing(prefix: "-----BEGIN ")?.removing(suffix: "-----") }
        parts = labels.compactMap { label in
            // Suffixes, because X509 CERTIFICATE and EC PRIVATE KEY count, too. A CERTIFICATE REQUEST does not.
            if label.hasSuffix("CERTIFICATE") {
                .certificate
            } else if label.hasSuffix("PRIVATE KEY") {
                .key
            } else {
                nil
            }
        }
        isEncrypted = labels.contains("ENCRYPTED PRIVATE KEY") || lines.contains("Proc-Type: 4,ENCRYPTED")
    }

    /// Mistake in a file that should hold the expected part; `nil` if there is none.
    func mistake(for expected: Part) -> String? {
        if expected == .key, isEncrypted { return "is encrypted; it has to hold a private key without a passphrase" }
        guard !parts.contains(expected) else { return nil }
        return parts.first.map { "holds \($0.rawValue); it has to hold \(expected.rawValue)" }
            ?? "holds no PEM block of \(expected.rawValue)"
    }
}
