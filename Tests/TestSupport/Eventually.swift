import Glibc

/// Waits until a condition holds, at most two minutes.
public func eventually(_ condition: () throws -> Bool) rethrows -> Bool {
    for _ in 0..<24_000 {
        if try condition() { return true }
        usleep(5000)
    }
    return try condition()
}
