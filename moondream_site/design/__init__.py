"""The design system: icons, chips, the style guide. Its parts know no app."""
