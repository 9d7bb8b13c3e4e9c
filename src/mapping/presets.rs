//! The presets that ship with the tool: mappings of applications whose layout in Redis is known.

/// The presets: name and TOML text, whose first comment says what it moves.
pub fn presets() -> &'static [(&'static str, &'static str)] {
    &[
        ("contract-reviewer", include_str!("../../config/presets/contract-reviewer.toml")),
        ("django-cache", include_str!("../../config/presets/django-cache.toml")),
        ("laravel-cache", include_str!("../../config/presets/laravel-cache.toml")),
        ("laravel-sessions", include_str!("../../config/presets/laravel-sessions.toml")),
        ("sidekiq", include_str!("../../config/presets/sidekiq.toml")),
        ("celery-results", include_str!("../../config/presets/celery-results.toml")),
        ("express-sessions", include_str!("../../config/presets/express-sessions.toml")),
        ("spring-session", include_str!("../../config/presets/spring-session.toml")),
        ("spring-session-jdk", include_str!("../../config/presets/spring-session-jdk.toml")),
        ("bullmq", include_str!("../../config/presets/bullmq.toml")),
    ]
}
